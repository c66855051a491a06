"""From text to rows of token ids."""
