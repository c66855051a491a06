"""From tables to laws, forecasts and decisions."""


rule laws:
    """Fit the grid's scaling laws, and say of each what it is good for."""
    input:
        unpack(inputs("laws")),
    output:
        **outputs("laws"),
    log:
        log_file("laws"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("laws"),
        code=digest("laws"),
    shell:
        command("laws")


rule forecasts:
    """Forecast loss and scores of larger cells, where the laws have shown that they can."""
    input:
        unpack(inputs("forecasts")),
    output:
        **outputs("forecasts"),
    log:
        log_file("forecasts"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("forecasts"),
        code=digest("forecasts"),
    shell:
        command("forecasts")


rule decisions:
    """Decide which model, how many tokens and ranks, what to run next, and when to stop."""
    input:
        unpack(inputs("decisions")),
    output:
        **outputs("decisions"),
    log:
        log_file("decisions"),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("decisions"),
        code=digest("decisions"),
    shell:
        command("decisions")
