"""From predictions to scores."""


rule score:
    """Compute one cell's metrics from its saved predictions."""
    input:
        unpack(inputs("score")),
    output:
        **outputs("score"),
    log:
        log_file("score"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("score"),
        code=digest("score"),
    shell:
        command("score")


rule baseline:
    """Score the majority class of a task."""
    input:
        unpack(inputs("baseline")),
    output:
        **outputs("baseline"),
    log:
        log_file("baseline"),
    # A wrong `positive` of the task is found before trainings begin.
    priority: 2
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("baseline"),
        code=digest("baseline"),
    shell:
        command("baseline")
