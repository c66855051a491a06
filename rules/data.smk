"""From a corpus to slices of token rows, and from a task to examples."""


rule corpus:
    """Fetch the corpus into resources/; later rules need no network."""
    input:
        unpack(inputs("corpus")),
    output:
        **outputs("corpus"),
    log:
        log_file("corpus"),
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("corpus"),
        code=digest("corpus"),
    shell:
        command("corpus")


rule segments:
    """Hold documents out, cut the rest into segments and shuffle them once."""
    input:
        unpack(inputs("segments")),
    output:
        **outputs("segments"),
    log:
        log_file("segments"),
    priority: 2
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        **demand("segments"),
    params:
        recipe=recipe("segments"),
        code=digest("segments"),
    shell:
        command("segments")


rule tokenizer:
    """Train a tokenizer on the training segments."""
    input:
        unpack(inputs("tokenizer")),
    output:
        **outputs("tokenizer"),
    log:
        log_file("tokenizer"),
    priority: 2
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        **demand("tokenizer"),
    params:
        recipe=recipe("tokenizer"),
        code=digest("tokenizer"),
    shell:
        command("tokenizer")


rule checkpoint:
    """Fetch a released checkpoint, weights and tokenizer, into resources/."""
    input:
        unpack(inputs("checkpoint")),
    output:
        **outputs("checkpoint"),
    log:
        log_file("checkpoint"),
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("checkpoint"),
        code=digest("checkpoint"),
    shell:
        command("checkpoint")


rule pack:
    """Tokenise the segments and pack them into rows, once per tokenizer."""
    input:
        unpack(inputs("pack")),
    output:
        **outputs("pack"),
    log:
        log_file("pack"),
    priority: 2
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        **demand("pack"),
    params:
        recipe=recipe("pack"),
        code=digest("pack"),
    shell:
        command("pack")


rule slice:
    """Say how far a size reaches into the rows."""
    input:
        unpack(inputs("slice")),
    output:
        **outputs("slice"),
    log:
        log_file("slice"),
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("slice"),
        code=digest("slice"),
    shell:
        command("slice")


rule task:
    """Fetch a task's examples into resources/."""
    input:
        unpack(inputs("task")),
    output:
        **outputs("task"),
    log:
        log_file("task"),
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("task"),
        code=digest("task"),
    shell:
        command("task")
