"""From slices to models."""


rule trunk:
    """Train what all sizes of a model share to where a size branches off."""
    input:
        unpack(trunk_input),
    output:
        state=directory("results/trunk/{model}/{size}/{gpus}/{seed}/state"),
        manifest="results/trunk/{model}/{size}/{gpus}/{seed}/manifest.json",
        record="results/trunk/{model}/{size}/{gpus}/{seed}/record.json",
    log:
        "logs/trunk/{model}/{size}/{gpus}/{seed}.log",
    # The longest jobs first, so that short ones fill the gaps.
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: lambda job: int(job.gpus)
    resources:
        **demand("trunk"),
    params:
        recipe=recipe("trunk", "model", "gpus", "seed"),
        code=digest("trunk"),
    shell:
        "run=$(dirname {output.record:q}) run=${{run#results/}}; "
        'HF_HUB_OFFLINE=1 python "$scripts/trunk.py" --recipe {params.recipe:q}'
        ' --tokenizer "$(dirname {input.tokenizer:q})" --rows {input.rows:q} --slice {input.slice:q}'
        " --trunk {input.state:q} --inputs {input.tokenizer:q} {input.trunk:q}"
        " --state {output.state:q} --manifest {output.manifest:q} --record {output.record:q}"
        " --work work/$run --checkpoint-minutes $checkpoint_minutes"
        " --tensorboard logs/tensorboard/$run > {log:q} 2>&1"


rule pretrain:
    """Pre-train one cell's model, or keep its first weights at size 0, and measure its held-out loss."""
    input:
        unpack(pretrain_input),
    output:
        model="results/pretrain/{model}/{size}/{gpus}/{seed}/model/model.safetensors",
        manifest="results/pretrain/{model}/{size}/{gpus}/{seed}/manifest.json",
        record="results/pretrain/{model}/{size}/{gpus}/{seed}/record.json",
    log:
        "logs/pretrain/{model}/{size}/{gpus}/{seed}.log",
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: lambda job: int(job.gpus)
    resources:
        **demand("pretrain"),
    params:
        recipe=recipe("pretrain", "model", "size", "gpus", "seed"),
        code=digest("pretrain"),
    shell:
        "run=$(dirname {output.record:q}) run=${{run#results/}}; "
        'HF_HUB_OFFLINE=1 python "$scripts/pretrain.py" --recipe {params.recipe:q}'
        ' --tokenizer "$(dirname {input.tokenizer:q})" --rows {input.rows:q} --slice {input.slice:q}'
        " --pack {input.pack:q} --held-out-rows {input.held_out:q} --evaluations $evaluations"
        " --trunk {input.state:q} --inputs {input.tokenizer:q} {input.trunk:q}"
        ' --model "$(dirname {output.model:q})" --manifest {output.manifest:q} --record {output.record:q}'
        " --work work/$run --checkpoint-minutes $checkpoint_minutes"
        " --tensorboard logs/tensorboard/$run > {log:q} 2>&1"


rule ranks:
    """Compare the runs of a model at one size on several ranks with the one on a single rank."""
    input:
        unpack(ranks_input),
    output:
        ranks="results/ranks/{model}/{size}/ranks.csv",
        record="results/ranks/{model}/{size}/record.json",
    log:
        "logs/ranks/{model}/{size}.log",
    group:
        RANKS
    conda:
        "../envs/train.yaml"
    resources:
        **demand("ranks"),
    params:
        recipe=recipe("ranks", "model", "size"),
        code=digest("ranks"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/ranks.py" --recipe {params.recipe:q}'
        " --pretrain results/pretrain/{wildcards.model}/{wildcards.size}"
        " --ranks {output.ranks:q} --record {output.record:q} > {log:q} 2>&1"
