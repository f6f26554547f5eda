"""Trackers, which are told of a run beside what it writes itself: TensorBoard, MLflow, W&B, others.

A tracker is a class without arguments that has the four functions of `contract.Tracker`;
config.tracking names those of a run.
"""
