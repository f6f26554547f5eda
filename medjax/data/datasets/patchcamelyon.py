def import_h5py():
  import h5py

  return h5py
