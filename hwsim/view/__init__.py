"""Results as pictures: figures for people. Nothing here makes a cycle or a picojoule."""
