"""From a file to uint8."""
