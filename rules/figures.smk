"""From tables to figures: a rule for each kind of step that draws one."""

FIGURES = [name for name in steps.KINDS if name.startswith("figure_")]


def draw(rule_name):
    """Define the rule of a figure."""

    rule:
        name:
            rule_name
        input:
            unpack(inputs(rule_name)),
        output:
            **outputs(rule_name),
        log:
            log_file(rule_name),
        localrule: True
        conda:
            "../envs/analysis.yaml"
        params:
            recipe=recipe(rule_name),
            code=digest(rule_name),
        shell:
            command(rule_name)


for figure in FIGURES:
    draw(figure)
