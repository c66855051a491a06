"""From all results to what people read and print."""


rule report:
    """Write the page with answers, figures, tables, methods and provenance."""
    input:
        runs="results/runs.csv",
        summary="results/summary.csv",
        attempts="results/attempts.csv",
        laws="results/laws.json",
        forecasts="results/forecasts.csv",
        decisions="results/decisions.json",
        figures=expand("results/figures/{name}.svg", name=FIGURES),
    output:
        report=shown("results/report.html", "report", "page"),
        record="results/report.json",
    log:
        "logs/report.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("report"),
        code=digest("report"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/report.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --summary {input.summary:q} --laws {input.laws:q} --forecasts {input.forecasts:q} --decisions {input.decisions:q}"
        " --attempts {input.attempts:q} --predictions logs/predictions.jsonl --figures {input.figures:q}"
        ' --command "$command" --report {output.report:q} --record {output.record:q} > {log:q} 2>&1'


rule latex:
    """Write the main results as LaTeX tables for a paper."""
    input:
        runs="results/runs.csv",
        summary="results/summary.csv",
        laws="results/laws.json",
        forecasts="results/forecasts.csv",
        decisions="results/decisions.json",
    output:
        scores=shown("results/latex/scores.tex", "tables", "latex"),
        loss=shown("results/latex/loss.tex", "tables", "latex"),
        laws=shown("results/latex/laws.tex", "tables", "latex"),
        forecasts=shown("results/latex/forecasts.tex", "tables", "latex"),
        record="results/latex.json",
    log:
        "logs/latex.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("latex"),
        code=digest("latex"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/latex.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --summary {input.summary:q} --laws {input.laws:q} --forecasts {input.forecasts:q} --decisions {input.decisions:q}"
        " --scores-table {output.scores:q} --loss-table {output.loss:q} --laws-table {output.laws:q}"
        " --forecasts-table {output.forecasts:q} --record {output.record:q} > {log:q} 2>&1"
