"""From tables to figures: for each NAME of steps.FIGURES a rule figure_NAME, which runs scripts/figure_NAME.py."""

for name, sources in steps.FIGURES.items():
    tables = {file.partition(".")[0]: f"results/{file}" for file in sources}
    options = " ".join(f"--{table} {{input.{table}:q}}" for table in tables)

    rule:
        name:
            f"figure_{name}"
        input:
            **tables,
        output:
            figure=shown(f"results/figures/{name}.png", "figures", name),
            svg=f"results/figures/{name}.svg",
            pdf=f"results/figures/{name}.pdf",
            data=f"results/figures/{name}.csv",
            record=f"results/figures/{name}.json",
        log:
            f"logs/figure_{name}.log",
        localrule: True
        conda:
            "../envs/analysis.yaml"
        params:
            recipe=recipe(f"figure_{name}"),
            code=digest(f"figure_{name}"),
        shell:
            f'python "$scripts/figure_{name}.py" --recipe {{params.recipe:q}} {options}'
            " --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"
