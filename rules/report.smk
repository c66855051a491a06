"""From all results to what people read and print."""


rule report:
    """Write the page with answers, figures, tables, methods and provenance."""
    input:
        unpack(inputs("report")),
    output:
        **outputs("report"),
    log:
        log_file("report"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("report"),
        code=digest("report"),
    shell:
        command("report")


rule latex:
    """Write the main results as LaTeX tables for a paper."""
    input:
        unpack(inputs("latex")),
    output:
        **outputs("latex"),
    log:
        log_file("latex"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("latex"),
        code=digest("latex"),
    shell:
        command("latex")
