"""For every kind of change, what is run again is what could come out differently, and nothing else.

`rows` lists changes of a small `experiment`, each with the jobs whose own result it touches. The `oracle`, written
independently of the project's own steps, adds what comes of them. Records alone are asked about every change of the
configuration, in this process; Snakemake about each family of keys, about files, folders, time stamps and code.
"""
