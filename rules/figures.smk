"""From tables to figures: for each NAME of steps.FIGURES a rule figure_NAME, which runs scripts/figure_NAME.py."""


# A shell command is put together when its job runs; in a function it then finds the values of its own figure.
def draw(figure, sources):
    tables = {file.partition(".")[0]: f"results/{file}" for file in sources}
    options = " ".join(f"--{table} {{input.{table}:q}}" for table in tables)

    rule:
        name:
            f"figure_{figure}"
        input:
            **tables,
        output:
            figure=shown(f"results/figures/{figure}.png", "figures", figure),
            svg=f"results/figures/{figure}.svg",
            pdf=f"results/figures/{figure}.pdf",
            data=f"results/figures/{figure}.csv",
            record=f"results/figures/{figure}.json",
        log:
            f"logs/figure_{figure}.log",
        localrule: True
        conda:
            "../envs/analysis.yaml"
        params:
            recipe=recipe(f"figure_{figure}"),
            code=digest(f"figure_{figure}"),
        shell:
            f'HF_HUB_OFFLINE=1 python "$scripts/figure_{figure}.py" --recipe {{params.recipe:q}} {options}'
            " --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"


for figure, sources in steps.FIGURES.items():
    draw(figure, sources)
