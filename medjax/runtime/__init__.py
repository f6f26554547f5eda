"""The floor that everything stands on: devices, files, progress, names → objects, command lines."""
