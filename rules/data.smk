"""From a corpus to slices of token rows, and from a task to examples."""


rule corpus:
    """Fetch the corpus into resources/; later rules need no network."""
    input:
        files=corpus_files("files"),
        held_out_files=corpus_files("held_out_files"),
    output:
        documents="resources/corpus/{corpus}/documents.parquet",
        manifest="resources/corpus/{corpus}/manifest.json",
        record="resources/corpus/{corpus}/record.json",
    log:
        "logs/corpus/{corpus}.log",
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("corpus", "corpus"),
        code=digest("corpus"),
    shell:
        'python "$scripts/corpus.py" --recipe {params.recipe:q} --files {input.files:q}'
        " --held-out-files {input.held_out_files:q} --documents {output.documents:q}"
        " --manifest {output.manifest:q} --record {output.record:q} > {log:q} 2>&1"


rule segments:
    """Hold documents out, cut the rest into segments and shuffle them once."""
    input:
        documents=ancient("resources/corpus/{corpus}/documents.parquet"),
        manifest="resources/corpus/{corpus}/manifest.json",
    output:
        train="resources/segments/{corpus}/train.parquet",
        held_out="resources/segments/{corpus}/held_out.parquet",
        manifest="resources/segments/{corpus}/manifest.json",
        record="resources/segments/{corpus}/record.json",
    log:
        "logs/segments/{corpus}.log",
    priority: 2
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        **demand("segments"),
    params:
        recipe=recipe("segments"),
        code=digest("segments"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/segments.py" --recipe {params.recipe:q} --documents {input.documents:q}'
        " --corpus {input.manifest:q} --train {output.train:q} --held-out {output.held_out:q}"
        " --manifest {output.manifest:q} --record {output.record:q} --threads {threads} > {log:q} 2>&1"


rule tokenizer:
    """Train a tokenizer on the training segments."""
    input:
        segments=ancient("resources/segments/{corpus}/train.parquet"),
        manifest="resources/segments/{corpus}/manifest.json",
    output:
        tokenizer="resources/tokenizer/{corpus}/{tokenizer}/tokenizer.json",
        manifest="resources/tokenizer/{corpus}/{tokenizer}/manifest.json",
        record="resources/tokenizer/{corpus}/{tokenizer}/record.json",
    log:
        "logs/tokenizer/{corpus}/{tokenizer}.log",
    priority: 2
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        **demand("tokenizer"),
    params:
        recipe=recipe("tokenizer", "tokenizer"),
        code=digest("tokenizer"),
    shell:
        'HF_HUB_OFFLINE=1 RAYON_NUM_THREADS={threads} python "$scripts/tokenizer.py" --recipe {params.recipe:q}'
        " --segments {input.segments:q} --segments-manifest {input.manifest:q}"
        ' --folder "$(dirname {output.tokenizer:q})" --manifest {output.manifest:q} --record {output.record:q}'
        " > {log:q} 2>&1"


rule checkpoint:
    """Fetch a released checkpoint, weights and tokenizer, into resources/."""
    input:
        checkpoint_files,
    output:
        config="resources/checkpoint/{model}/config.json",
        manifest="resources/checkpoint/{model}/manifest.json",
        record="resources/checkpoint/{model}/record.json",
    log:
        "logs/checkpoint/{model}.log",
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("checkpoint", "model"),
        code=digest("checkpoint"),
    shell:
        'python "$scripts/checkpoint.py" --recipe {params.recipe:q} --folder "$(dirname {output.config:q})"'
        " --manifest {output.manifest:q} --record {output.record:q} > {log:q} 2>&1"


rule pack:
    """Tokenise the segments and pack them into rows, once per tokenizer."""
    input:
        train=ancient("resources/segments/{corpus}/train.parquet"),
        held_out=ancient("resources/segments/{corpus}/held_out.parquet"),
        segments="resources/segments/{corpus}/manifest.json",
        tokenizer=lambda job: f"{layout.tokenizer_folder(config, job.tokenizer)}/manifest.json",
    output:
        rows="resources/pack/{corpus}/{tokenizer}/rows.bin",
        index="resources/pack/{corpus}/{tokenizer}/index.parquet",
        held_out="resources/pack/{corpus}/{tokenizer}/held_out.bin",
        manifest="resources/pack/{corpus}/{tokenizer}/manifest.json",
        record="resources/pack/{corpus}/{tokenizer}/record.json",
    log:
        "logs/pack/{corpus}/{tokenizer}.log",
    priority: 2
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        **demand("pack"),
    params:
        recipe=recipe("pack"),
        code=digest("pack"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/pack.py" --recipe {params.recipe:q} --train {input.train:q}'
        " --held-out {input.held_out:q} --segments-manifest {input.segments:q}"
        ' --tokenizer "$(dirname {input.tokenizer:q})" --tokenizer-manifest {input.tokenizer:q}'
        " --rows {output.rows:q} --index {output.index:q} --held-out-rows {output.held_out:q}"
        " --manifest {output.manifest:q} --record {output.record:q} --threads {threads} > {log:q} 2>&1"


rule slice:
    """Say how far a size reaches into the rows."""
    input:
        grid_index=ancient(f"resources/pack/{{corpus}}/{config['data']['tokenizer']}/index.parquet"),
        grid_pack=f"resources/pack/{{corpus}}/{config['data']['tokenizer']}/manifest.json",
        index=ancient("resources/pack/{corpus}/{tokenizer}/index.parquet"),
        rows=ancient("resources/pack/{corpus}/{tokenizer}/rows.bin"),
        pack="resources/pack/{corpus}/{tokenizer}/manifest.json",
    output:
        manifest="resources/slice/{corpus}/{tokenizer}/{size}/manifest.json",
        record="resources/slice/{corpus}/{tokenizer}/{size}/record.json",
    log:
        "logs/slice/{corpus}/{tokenizer}/{size}.log",
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("slice", "size"),
        code=digest("slice"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/slice.py" --recipe {params.recipe:q} --grid-index {input.grid_index:q}'
        " --grid-pack {input.grid_pack:q} --index {input.index:q} --rows {input.rows:q} --pack {input.pack:q}"
        " --manifest {output.manifest:q} --record {output.record:q} > {log:q} 2>&1"


rule task:
    """Fetch a task's examples into resources/."""
    input:
        files=lambda job: ancient(list(files.find_task_files(config, job.task).values())),
    output:
        examples="resources/task/{task}/examples.parquet",
        manifest="resources/task/{task}/manifest.json",
        record="resources/task/{task}/record.json",
    log:
        "logs/task/{task}.log",
    priority: 2
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        recipe=recipe("task", "task"),
        code=digest("task"),
    shell:
        'python "$scripts/task.py" --recipe {params.recipe:q} --files {input.files:q}'
        " --examples {output.examples:q} --manifest {output.manifest:q} --record {output.record:q} > {log:q} 2>&1"
