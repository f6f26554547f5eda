"""Pictures that lie in the page itself."""

import base64
import io

from PIL import Image


def data_uri(picture: Image.Image, kind: str) -> str:
  """Returns a picture as a data URI; `kind` is 'jpeg' or 'png'."""
  buffer = io.BytesIO()
  picture.save(buffer, kind, **({'quality': 85} if kind == 'jpeg' else {'optimize': True}))
  return f'data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}'
