"""Model families of transformers, a file each."""
