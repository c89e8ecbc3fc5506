use rule video_stage as video_codec with:
    input:
        videos=lambda wildcards: own_videos(VIDEO.codec_videos()),
    output:
        **checkpoint_in("video/codec"),
        metrics="<results>/video/codec/metrics.json",
    pathvars:
        job="codec",
    params:
        spec=VIDEO.spec("codec"),


use rule video_stage as clips with:
    input:
        codec=codec_files,
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    pathvars:
        job="clips/{split}.{number}",
    wildcard_constraints:
        number=from_source("clips"),
    params:
        spec=VIDEO.spec("clips"),


use rule video_stage as download with:
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    pathvars:
        job="download/{split}.{number}",
    wildcard_constraints:
        number=from_source("hub"),
    params:
        spec=VIDEO.spec("download"),


use rule video_network as lsmdc with:
    input:
        annotations=annotations,
        codec=codec_files,
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    pathvars:
        job="lsmdc/{split}.{number}",
    wildcard_constraints:
        number=from_source("lsmdc"),
    threads: 1
    params:
        spec=VIDEO.spec("lsmdc"),


use rule video_network as videos with:
    input:
        videos=lambda wildcards: own_videos(VIDEO.shard_videos_of(wildcards)),
        codec=codec_files,
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    pathvars:
        job="videos/{split}.{number}",
    wildcard_constraints:
        number=from_source("folder"),
    threads: 1
    params:
        spec=VIDEO.spec("videos"),


use rule video_stage as video_index with:
    input:
        shards=lambda wildcards: shards("shards", wildcards.split),
    output:
        index="<results>/video/index/{split}.npz",
    pathvars:
        job="index/{split}",
    params:
        spec=VIDEO.spec("index", shared="index"),


use rule video_network as contact_sheet with:
    input:
        index="<results>/video/index/{split}.npz",
        codec=codec_files,
    output:
        sheet="<results>/video/contact_sheets/{split}.png",
    pathvars:
        job="contact_sheet/{split}",
    threads: 1
    params:
        spec=VIDEO.spec("contact_sheet"),


use rule video_network as optical_flow with:
    input:
        index="<results>/video/index/{split}.npz",
        codec=codec_files,
    output:
        shard="<results>/video/{pixels}/{split}/{number}.tar",
    pathvars:
        job="{pixels}/{split}.{number}",
    wildcard_constraints:
        pixels="|".join(IN_PIXELS),
        number=r"\d{5}",
    threads: 1
    params:
        spec=VIDEO.spec("optical_flow"),


use rule video_stage as optical_flow_index with:
    input:
        shards=lambda wildcards: shards(wildcards.pixels, wildcards.split),
    output:
        index="<results>/video/{pixels}/{split}.npz",
    pathvars:
        job="{pixels}_index/{split}",
    wildcard_constraints:
        pixels="|".join(IN_PIXELS),
    params:
        spec=VIDEO.spec("optical_flow_index", shared="index"),


use rule video_stage as negative with:
    output:
        negative="<results>/video/negative.npz",
    pathvars:
        job="negative",
    params:
        spec=VIDEO.spec("negative"),
