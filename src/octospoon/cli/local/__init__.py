"""The local stack: deployed, addressed, and its functions run one by one."""
