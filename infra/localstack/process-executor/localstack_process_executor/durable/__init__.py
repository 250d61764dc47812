"""Keep what LocalStack holds in a folder, so that a new LocalStack goes on with it: `STATE_FOLDER=/path`.

S3 objects, DynamoDB items and SQS messages are written to disk before a request is answered. Infrastructure
is not kept: deploy the template again, and each bucket, table and queue gets its contents back when it is
created. Names and secrets that CloudFormation generates are the same each time.
"""
