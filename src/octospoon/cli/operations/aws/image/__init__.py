"""The training image of a stack: its sources, its repository, and the two ways to build it."""
