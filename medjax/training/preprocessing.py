"""What happens to an image on its way to the network, resolved from the config and the weights."""

from medjax.config import Config
from medjax.config.published import NETWORKS
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.models.normalisation import Normalisation, for_channels
from medjax.models.pretrained.weights import Weights


def resolve(config: Config, weights: Weights | None) -> tuple[ImageFormat, Normalisation]:
  """Returns the format of the images and their normalisation.

  Each is what the config says, else what the weights were made with; a size that neither says is
  the one that the network was published with.

  A grey image gets the averages of the weights' means and deviations over their channels, so that
  what a summed stem sees differs a little from a tripled copy normalised channel by channel.

  Raises:
    InputError: no image size anywhere, or weights of which nobody says mean and deviation.
  """
  data, model = config.data, config.model
  size = data.image_size or (weights.image_size if weights else 0)
  if not size:
    if model.name not in NETWORKS:
      raise InputError(
        f'config.data.image_size: give one; {model.name} was published with no size of its own'
      )
    size = NETWORKS[model.name].image_size
  if weights and not weights.mean and not (model.mean and model.std):
    usual = 'ImageNet: 0.485,0.456,0.406 and 0.229,0.224,0.225; for grey images 0.449 and 0.226'
    if model.name == 'inception_v3':
      # Its transform_input turns ImageNet's into these.
      usual = 'torchvision: 0.5 and 0.5, to which it normalises again what is given to it'
    raise InputError(
      f'config.model.pretrained ({weights.origin["from"]}): nothing says how its images were '
      f'normalised; give config.model.mean and config.model.std ({usual}), or put the config.json '
      'published with the weights beside them'
    )
  interpolation = (weights.interpolation if weights else '') or 'bilinear'
  mean = model.mean or for_channels(weights.mean if weights else (), data.channels) or (0.5,)
  std = model.std or for_channels(weights.std if weights else (), data.channels) or (0.25,)
  return (
    ImageFormat(size, data.channels, data.fit, interpolation, data.intensity),
    Normalisation(mean, std),
  )
