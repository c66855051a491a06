"""From records and scores to tables and figures."""


rule aggregate:
    """Gather the grid's records and scores into tidy tables."""
    input:
        records=[
            f"results/pretrain/{cell.model}/{cell.size}/{cell.gpus}/{seed}/record.json"
            for cell in CELLS
            for seed in config["seeds"]["pretrain"]
        ],
        ranks=[f"results/ranks/{model}/{size}/ranks.csv" for model, size in COMPARED],
        scores=[
            f"results/score/{cell.model}/{cell.size}/{cell.gpus}/{file}"
            for cell in SCORED
            for file in ("scores.csv", "record.json")
        ],
        baselines=expand("results/baseline/{task}/scores.csv", task=config["tasks"]),
    output:
        runs="results/runs.csv",
        runs_parquet="results/runs.parquet",
        curves="results/curves.csv",
        curves_parquet="results/curves.parquet",
        scores="results/scores.csv",
        scores_parquet="results/scores.parquet",
        summary="results/summary.csv",
        summary_parquet="results/summary.parquet",
        baselines="results/baselines.csv",
        baselines_parquet="results/baselines.parquet",
        attempts="results/attempts.csv",
        attempts_parquet="results/attempts.parquet",
        record="results/aggregate.json",
    log:
        "logs/aggregate.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("aggregate"),
        code=digest("aggregate"),
    shell:
        'python "$scripts/aggregate.py" --recipe {params.recipe:q} --results results --work work'
        " --runs {output.runs:q} --curves {output.curves:q} --scores {output.scores:q} --summary {output.summary:q}"
        " --baselines {output.baselines:q} --attempts {output.attempts:q} --record {output.record:q} > {log:q} 2>&1"


rule figure_scores:
    """Draw task scores against data size."""
    input:
        summary="results/summary.csv",
        baselines="results/baselines.csv",
    output:
        figure="results/figures/scores.png",
        svg="results/figures/scores.svg",
        pdf="results/figures/scores.pdf",
        data="results/figures/scores.csv",
        record="results/figures/scores.json",
    log:
        "logs/figure_scores.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("figure_scores"),
        code=digest("figure_scores"),
    shell:
        'python "$scripts/figure_scores.py" --recipe {params.recipe:q} --summary {input.summary:q}'
        " --baselines {input.baselines:q} --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"


rule figure_loss:
    """Draw held-out loss against data size."""
    input:
        runs="results/runs.csv",
    output:
        figure="results/figures/loss.png",
        svg="results/figures/loss.svg",
        pdf="results/figures/loss.pdf",
        data="results/figures/loss.csv",
        record="results/figures/loss.json",
    log:
        "logs/figure_loss.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("figure_loss"),
        code=digest("figure_loss"),
    shell:
        'python "$scripts/figure_loss.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"


rule figure_laws:
    """Draw the law of each model's held-out loss by tokens."""
    input:
        runs="results/runs.csv",
    output:
        figure="results/figures/laws.png",
        svg="results/figures/laws.svg",
        pdf="results/figures/laws.pdf",
        data="results/figures/laws.csv",
        record="results/figures/laws.json",
    log:
        "logs/figure_laws.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("figure_laws"),
        code=digest("figure_laws"),
    shell:
        'python "$scripts/figure_laws.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"


rule figure_front:
    """Draw held-out loss against rank-hours, and the cells that nothing cheaper beats."""
    input:
        runs="results/runs.csv",
    output:
        figure="results/figures/front.png",
        svg="results/figures/front.svg",
        pdf="results/figures/front.pdf",
        data="results/figures/front.csv",
        record="results/figures/front.json",
    log:
        "logs/figure_front.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("figure_front"),
        code=digest("figure_front"),
    shell:
        'python "$scripts/figure_front.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"


rule figure_throughput:
    """Draw throughput and parallel efficiency against gpus."""
    input:
        runs="results/runs.csv",
    output:
        figure="results/figures/throughput.png",
        svg="results/figures/throughput.svg",
        pdf="results/figures/throughput.pdf",
        data="results/figures/throughput.csv",
        record="results/figures/throughput.json",
    log:
        "logs/figure_throughput.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("figure_throughput"),
        code=digest("figure_throughput"),
    shell:
        'python "$scripts/figure_throughput.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --figure {output.figure:q} --record {output.record:q} > {log:q} 2>&1"
