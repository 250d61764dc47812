"""The guided path to a stack on AWS: choices, checks, deployment and removal."""
