"""Adds the configs, which lie beside the package in a checkout and inside it once installed."""

import setuptools

setuptools.setup(
  packages=[
    *setuptools.find_packages(include=['medjax*']),
    'medjax.configs',
    'medjax.configs.search',
  ],
  package_dir={'medjax.configs': 'configs'},
)
