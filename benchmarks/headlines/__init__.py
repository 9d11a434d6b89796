"""All headline numbers of the tree, made again by one command: `python -m benchmarks.headlines`.

A step computes tables, figures, designs or whole pages; a table stands in its page between two comments and is written over in
place (blocks.py). Nothing here knows a number: every one is measured by a step in this tree. `--list` says what each step
writes and how long it takes; `--check` compares what is committed with what a step computes.
"""
