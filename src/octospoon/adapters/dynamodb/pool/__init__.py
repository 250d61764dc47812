"""The pool table: one item for each image, sparse and sharded indexes, and one adapter for each use."""
