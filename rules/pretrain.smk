"""From slices to models."""


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
    # The longest jobs first, so that short ones fill the gaps.
    priority: 1
    conda:
        "../envs/train.yaml"
    threads: lambda job: int(job.gpus)
    resources:
        gpu=lambda job: int(job.gpus),
    params:
        recipe=recipe("pretrain", "model", "size", "gpus", "seed"),
        code=digest("pretrain"),
        inputs=pretrain_arguments,
        tensorboard="logs/tensorboard/pretrain/{model}/{size}/{gpus}/{seed}",
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/pretrain.py" --recipe {params.recipe:q} {params.inputs:q}'
        ' --model "$(dirname {output.model:q})" --manifest {output.manifest:q} --record {output.record:q}'
        " --tensorboard {params.tensorboard:q} > {log:q} 2>&1"
