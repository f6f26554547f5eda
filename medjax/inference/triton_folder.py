"""An ONNX program as NVIDIA's Triton Inference Server and KServe serve it: a model repository.

https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_repository.md
"""

import json
import re

from medjax.inference import onnx_program
from medjax.training.learner import Learner

FOLDER = 'model_repository'
_LARGEST_BATCH = 64


def name_of(text: str) -> str:
  """Returns the name of a model as an address may hold it, such as 'chexpert'."""
  return re.sub(r'[^A-Za-z0-9_-]+', '_', text).strip('_') or 'medjax'


def files_of(name: str, learner: Learner, content: bytes) -> dict[str, str | bytes]:
  """Returns path → content of the files of a model repository with this one model.

  Args:
    name: of the model.
    learner: what the program takes and gives.
    content: an ONNX file, see medjax.inference.onnx_program.
  """
  labels = learner.config.data.labels
  shape = ', '.join(map(str, learner.image_format.shape))
  settings = f"""name: {json.dumps(name)}
backend: "onnxruntime"
# Triton makes larger batches of waiting requests, each of any number of images up to this one.
max_batch_size: {_LARGEST_BATCH}
input [
  {{ name: "{onnx_program.INPUT}" data_type: TYPE_UINT8 dims: [ {shape} ] }}
]
output [
  {{
    name: "{onnx_program.OUTPUT}"
    data_type: TYPE_FP32
    dims: [ {len(labels)} ]
    label_filename: "labels.txt"
  }}
]
dynamic_batching {{ }}
"""
  return {
    f'{name}/config.pbtxt': settings,
    f'{name}/labels.txt': '\n'.join(labels) + '\n',
    f'{name}/1/model.onnx': content,
  }


def in_words(name: str) -> str:
  """Returns a section of the model card."""
  return f"""### Triton and KServe

`{FOLDER}/` holds the ONNX program as the model `{name}`, for

```
tritonserver --model-repository={FOLDER}
```

or as the `storageUri` of a KServe InferenceService whose `modelFormat` is `triton`. A request gives
`{onnx_program.INPUT}`, the answer `{onnx_program.OUTPUT}`; thresholds are in frozen.json."""
