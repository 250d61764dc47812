"""The local stack without Docker: LocalStack, Label Studio, MLflow, each in an environment of its own.

```python
with start(root, progress=print, fresh=True) as stack:
    stack.aws_url, stack.label_studio_url, stack.mlflow_url, stack.credentials
    stack.start_process("trainer", argv, env)
```
`start(root, detached=True)` leaves it running: `attach` finds it again and `down` ends it.
"""

from octospoon.cli.stack.credentials import Credentials
from octospoon.cli.stack.detached import attach, down
from octospoon.cli.stack.process import Supervised
from octospoon.cli.stack.running import RunningStack
from octospoon.cli.stack.supervisor import make_templates, start

__all__ = ["Credentials", "RunningStack", "Supervised", "attach", "down", "make_templates", "start"]
