"""Everything that touches Snakemake's insides."""
