"""From records and scores to tables."""


rule aggregate:
    """Gather the grid's records and scores into tidy tables."""
    input:
        unpack(inputs("aggregate")),
    output:
        **outputs("aggregate"),
    log:
        log_file("aggregate"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("aggregate"),
        code=digest("aggregate"),
    shell:
        command("aggregate")
