"""The work directory: what each of its files is called, and when a run counts as finished."""

import dataclasses
import pathlib

PARTS = ('validation', 'test')  # the splits that are predicted


@dataclasses.dataclass(frozen=True)
class Layout:
  """The files of a work directory; whether they exist is for the caller to ask.

  Attributes:
    workdir: the folder.
  """

  workdir: pathlib.Path

  @property
  def config(self) -> pathlib.Path:
    """The config; written last when a run starts, so its presence says that the rest is there."""
    return self.workdir / 'config.json'

  @property
  def model(self) -> pathlib.Path:
    """What the network takes in and started from."""
    return self.workdir / 'model.json'

  @property
  def split(self) -> pathlib.Path:
    """Which image trains, validates or is tested."""
    return self.workdir / 'split.csv'

  @property
  def split_proof(self) -> pathlib.Path:
    """The proof of the split: hashes, counts, overlap."""
    return self.workdir / 'split.json'

  @property
  def set_aside(self) -> pathlib.Path:
    """Images that cannot be read."""
    return self.workdir / 'set_aside.csv'

  @property
  def images(self) -> pathlib.Path:
    """The SHA-256 of every image as it was when the run started."""
    return self.workdir / 'images.csv'

  @property
  def pretrained_on(self) -> pathlib.Path:
    """Whom the pretrained weights have seen; only of a run that started from another one."""
    return self.workdir / 'pretrained_on.csv'

  @property
  def search(self) -> pathlib.Path:
    """The search that chose the settings; only of a run that is the winner of one."""
    return self.workdir / 'search.json'

  @property
  def checkpoints(self) -> pathlib.Path:
    """A folder for each step saved."""
    return self.workdir / 'checkpoints'

  @property
  def metrics(self) -> pathlib.Path:
    """A line for each row of training and validation metrics."""
    return self.workdir / 'metrics.jsonl'

  @property
  def tensorboard(self) -> pathlib.Path:
    """The same for TensorBoard."""
    return self.workdir / 'tensorboard'

  @property
  def augmented(self) -> pathlib.Path:
    """Some training images before and after augmentation."""
    return self.workdir / 'augmented.png'

  @property
  def lock(self) -> pathlib.Path:
    """Held by the process that trains here."""
    return self.workdir / '.lock'

  @property
  def decoded(self) -> pathlib.Path:
    """The images, decoded once, while the run is at work; see medjax.data.prepared."""
    return self.workdir / 'decoded'

  @property
  def frozen(self) -> pathlib.Path:
    """Calibration and thresholds, chosen on validation."""
    return self.workdir / 'frozen.json'

  @property
  def evaluation(self) -> pathlib.Path:
    """The folder of results."""
    return self.workdir / 'evaluation'

  @property
  def result(self) -> pathlib.Path:
    """The test result; written last of all, so its presence says that the run is finished."""
    return self.evaluation / 'test.json'

  @property
  def readings(self) -> pathlib.Path:
    """How often the test set was read, and under which settings; see medjax.runs.readings."""
    return self.evaluation / 'readings.json'

  @property
  def cut_off_readings(self) -> pathlib.Path:
    """Readings that were cut off, until the result of another one counts them."""
    return self.evaluation / 'cut_off.json'

  def earlier_result(self, number: int) -> pathlib.Path:
    """The test result of an earlier reading, the first being 1."""
    return self.evaluation / f'test.{number}.json'

  def earlier_files(self, number: int) -> pathlib.Path:
    """The folder of files that an earlier result was made of and a later reading replaced."""
    return self.evaluation / f'test.{number}'

  @property
  def examples(self) -> pathlib.Path:
    """The examples that the report shows, with their pictures."""
    return self.evaluation / 'examples.json'

  @property
  def reports(self) -> pathlib.Path:
    """The folder of pages."""
    return self.workdir / 'report'

  @property
  def report(self) -> pathlib.Path:
    """The report."""
    return self.reports / 'index.html'

  @property
  def shared_report(self) -> pathlib.Path:
    """The report without pictures and names of patients, as trackers are given it."""
    return self.reports / 'without_patients.html'

  @property
  def beside_report(self) -> pathlib.Path:
    """The folder of its figures as SVG and its tables as CSV, see medjax.report.beside."""
    return self.reports / 'index_files'

  @property
  def export(self) -> pathlib.Path:
    """The folder of the export, unless another one is asked for."""
    return self.workdir / 'export'

  def predictions(self, part: str, variant: str = '') -> pathlib.Path:
    """The raw predictions of 'validation' or 'test'.

    Args:
      part: the split.
      variant: '' for those reported; else the name of an ablation, such as 'single model'.
    """
    return self.workdir / 'predictions' / variant.replace(' ', '_') / f'{part}.csv'

  def slides(self, method: str) -> pathlib.Path:
    """The folder of the answers for whole slides by one way of aggregating their patches."""
    return self.workdir / 'slides' / method.replace(':', '_')

  def saved_steps(self) -> list[int]:
    """The steps of which there is a checkpoint, in rising order."""
    return sorted(int(path.name) for path in self.checkpoints.glob('*') if path.name.isdigit())

  def is_run(self) -> bool:
    """Whether a run has started here."""
    return self.config.is_file()

  def is_finished(self) -> bool:
    """Whether the run has ended: it is tested and its report is written."""
    return self.result.is_file()

  def has_traces_of_a_test(self) -> bool:
    """Whether there is anything that only a test leaves, be it of an earlier one."""
    results = self.evaluation.glob('test*.json')
    left = (self.predictions('test'), self.frozen, self.report, *results)
    return any(path.is_file() for path in left)
