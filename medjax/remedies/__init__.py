"""The seven problems, each with and without its remedy: the command, and a file for each."""

PROBLEMS = (
  'imbalance', 'tasks', 'few_labels', 'overlap', 'set_sampling', 'ground_truth', 'one_number',
)  # fmt: skip
