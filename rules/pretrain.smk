"""From slices to models."""


rule trunk:
    """Train what all sizes of a model share to where a size branches off."""
    input:
        unpack(inputs("trunk")),
    output:
        **outputs("trunk"),
    log:
        log_file("trunk"),
    # The longest jobs first, so that short ones fill the gaps.
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: lambda job: int(job.gpus)
    resources:
        **demand("trunk"),
    params:
        recipe=recipe("trunk"),
        code=digest("trunk"),
    shell:
        command("trunk")


rule pretrain:
    """Pre-train one cell's model, or keep its first weights at size 0, and measure its held-out loss."""
    input:
        unpack(inputs("pretrain")),
    output:
        **outputs("pretrain"),
    log:
        log_file("pretrain"),
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: lambda job: int(job.gpus)
    resources:
        **demand("pretrain"),
    params:
        recipe=recipe("pretrain"),
        code=digest("pretrain"),
    shell:
        command("pretrain")


rule ranks:
    """Compare the runs of a model at one size on several ranks with the one on a single rank."""
    input:
        unpack(inputs("ranks")),
    output:
        **outputs("ranks"),
    log:
        log_file("ranks"),
    group:
        RANKS
    conda:
        "../envs/train.yaml"
    resources:
        **demand("ranks"),
    params:
        recipe=recipe("ranks"),
        code=digest("ranks"),
    shell:
        command("ranks")
