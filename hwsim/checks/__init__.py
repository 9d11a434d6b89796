"""Whether a Program can be executed at all: asked by schedules when they build one and by engines before they run one."""
