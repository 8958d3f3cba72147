"""HDF5 shards of features and samples, and the ragged batches made of them."""
