"""From predictions to figures with intervals and the report."""
