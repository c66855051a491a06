"""From tables to laws, forecasts and decisions."""


rule laws:
    """Fit the grid's scaling laws, and say of each what it is good for."""
    input:
        runs="results/runs.csv",
        curves="results/curves.csv",
        summary="results/summary.csv",
        baselines="results/baselines.csv",
        packs=PACKS,
    output:
        laws=shown("results/laws.csv", "tables", "laws"),
        fits="results/fits.npz",
        record="results/laws.json",
    log:
        "logs/laws.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("laws"),
        code=digest("laws"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/laws.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --curves {input.curves:q} --summary {input.summary:q} --baselines {input.baselines:q} --packs {input.packs:q} --laws {output.laws:q}"
        " --fits {output.fits:q} --record {output.record:q} > {log:q} 2>&1"


rule forecasts:
    """Forecast loss and scores of larger cells, where the laws have shown that they can."""
    input:
        runs="results/runs.csv",
        fits="results/fits.npz",
        packs=PACKS,
    output:
        forecasts=shown("results/forecasts.csv", "tables", "forecasts"),
        record="results/forecasts.json",
    log:
        "logs/forecasts.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("forecasts"),
        code=digest("forecasts"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/forecasts.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --fits {input.fits:q} --packs {input.packs:q} --forecasts {output.forecasts:q}"
        " --record {output.record:q} > {log:q} 2>&1"


rule decisions:
    """Decide which model, how many tokens and ranks, what to run next, and when to stop."""
    input:
        runs="results/runs.csv",
        scores="results/scores.csv",
        fits="results/fits.npz",
        packs=PACKS,
    output:
        next=shown("results/next.yaml", "tables", "next"),
        record="results/decisions.json",
    log:
        "logs/decisions.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("decisions"),
        code=digest("decisions"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/decisions.py" --recipe {params.recipe:q} --runs {input.runs:q}'
        " --scores {input.scores:q} --fits {input.fits:q} --packs {input.packs:q} --next {output.next:q}"
        " --record {output.record:q} > {log:q} 2>&1"
