"""Names that would steer a terminal, or fill it."""

import io

import pandas as pd

from medjax.runtime import plain_text

ORDERS = '\x1b[2J\x1b]0;owned\x07'
RIGHT_TO_LEFT = 'gpj.\u202efake'


def test_orders_to_a_terminal_are_shown_not_obeyed():
  assert plain_text.visible(f'Ödem {ORDERS}') == 'Ödem \\x1b[2J\\x1b]0;owned\\x07'
  assert plain_text.visible(RIGHT_TO_LEFT) == 'gpj.\\u202efake'
  assert plain_text.visible('肺炎 – é 🫁') == '肺炎 – é 🫁'
  written = io.StringIO()
  stream = plain_text.VisibleStream(written)
  print('one\ttwo', ORDERS, file=stream)
  assert written.getvalue() == 'one\ttwo \\x1b[2J\\x1b]0;owned\\x07\n'


def test_a_line_has_an_end():
  shown = plain_text.line('a\nb ' + 'c' * 50_000_000)
  assert shown.startswith('a b ccc') and shown.endswith(' …') and len(shown) < 2100


def test_a_command_shows_what_a_label_is_called(command, tmp_path):
  rows = {'image': list('abcdef'), 'patient': list('abcdef')}
  label = f'{ORDERS}mass'
  truth = pd.DataFrame({**rows, label: [0, 1, 0, 1, 0, 1]})
  truth.to_csv(tmp_path / 'truth.csv', index=False)
  scores = pd.DataFrame({**rows, f'prob_{label}': [0.1, 0.9, 0.2, 0.4, 0.5, 0.7]})
  scores.to_csv(tmp_path / 'scores.csv', index=False)
  for operating_points in ('threshold=0.5', 'nonsense'):
    finished = command(
      'evaluate', f'--predictions={tmp_path}/scores.csv', f'--truth={tmp_path}/truth.csv',
      f'--operating_points={operating_points}', '--replicates=0',
    )  # fmt: skip
    assert '\x1b' not in finished.stdout + finished.stderr


def test_a_damaged_config_is_one_line(command, tmp_path):
  (tmp_path / 'report').mkdir()
  for text in ('[' * 100_000, '{"data": "' + 'x' * 5_000_000 + '"}'):
    (tmp_path / 'config.json').write_text(text)
    finished = command('predict', f'--workdir={tmp_path}', '--images=.', '--output=p.csv')
    assert finished.returncode == 1 and finished.stderr.count('\n') == 1
    assert len(finished.stderr) < 2200 and 'config.json' in finished.stderr
