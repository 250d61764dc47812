"""The control table: everything that exists once, such as the training job, in an item of its own."""
