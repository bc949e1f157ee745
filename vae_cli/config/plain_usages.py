"""The usage of each command without groups of options, which --help prints."""

SAMPLE = """\
    vae-sample: samples from the model of a run, as a PNG grid and arrays, or as a table.

    usage: vae-sample run=DIR [KEY=VALUE ...] [--cfg job]

    values:
      run=DIR                       folder of the run, its name, or last, the newest single run
      ckpt=best                     best, last, previous, or the path of a checkpoint
      n=64                          number of samples
      component=3                   from one component of a mixture prior
      temperature=0.7               factor of the distance of z from the mean of p(z)
      between=[a.png,b.png]         z on the line between two examples; test:3 is row 3 of a split
      out=FILE                      .npz, or .csv or .parquet with x alone; - is stdout; by default
                                    an .npz and a .png in the run's folder
      seed=0                        seed of the samples

    examples:
      vae-sample run=last n=100 seed=1
      vae-sample run=last n=1000 out=copy.csv
      vae-sample run=last between=[test:3,test:8] n=9
"""

APPLIED = """\
      run=DIR                       folder of the run, its name, or last, the newest single run
      data=FILE                     a table, arrays, IDX, an image or a folder of images, read as
                                    the run's own data; test, val or train: a split of these
      out=FILE                      .csv, .parquet or .npz, in the order of the input; - is stdout
      ckpt=best                     best, last, previous, or the path of a checkpoint
      seed=0                        seed of the draws; a row depends on it and on its own x alone
      dataset.path=PLACE            present place of the run's data, if they have moved
      trainer.accelerator=cpu       auto, cpu or gpu
"""

ENCODE = f"""\
    vae-encode: mean and scale of q(z|x) and a draw of it for each example; with a mixture prior the
    cluster and q(c|x), with a codebook the indices of the codes.

    usage: vae-encode run=DIR data=FILE out=FILE [KEY=VALUE ...] [--cfg job]

    values:
{APPLIED}
    examples:
      vae-encode run=last data=test out=codes.csv
      vae-encode run=last data=photos out=codes.npz
"""

SCORE = f"""\
    vae-score: ELBO, distortion, rate and importance-weighted log p(x) of each example, with its
    percentile among training examples: a low one is an outlier.

    usage: vae-score run=DIR data=FILE out=FILE [KEY=VALUE ...] [--cfg job]

    values:
      samples=100                   k of the importance-weighted log-likelihood
      reference=1000                training examples whose scores give the percentile; 0: none
{APPLIED}
    examples:
      vae-score run=last data=test out=scores.csv
      vae-score run=last data=new.npy out=- samples=1000 reference=0
"""

RECONSTRUCT = f"""\
    vae-reconstruct: E[x|z] at z = E_q[z|x] for each example, and its squared distance from x.

    usage: vae-reconstruct run=DIR data=FILE out=FILE [KEY=VALUE ...] [--cfg job]

    values:
{APPLIED}
    examples:
      vae-reconstruct run=last data=test out=reconstructions.npz
"""

EXPORT = """\
    vae-export: encoder, decoder and scorer of a run in a format that needs no vae_cli, with a model
    card; each file is read back and compared with the model before the folder gets its name.

    usage: vae-export run=DIR [KEY=VALUE ...] [--cfg job]

    values:
      run=DIR                       folder of the run, its name, or last, the newest single run
      ckpt=best                     best, last, previous, or the path of a checkpoint
      format=onnx                   onnx, torch (programs of torch.export), safetensors (weights)
      out=DIR                       new folder; export/FORMAT in the folder of the run by default

    examples:
      vae-export run=last
      vae-export run=last format=torch out=model
"""

PUSH = """\
    vae-push: publish a run on the Hugging Face Hub: its configuration, weights, numbers, figures and a
    model card. vae_cli.load("hf://USER/NAME") loads it.

    usage: vae-push run=DIR to=USER/NAME [KEY=VALUE ...] [--cfg job]

    values:
      run=DIR                       folder of the run, its name, or last, the newest single run
      to=USER/NAME                  the repository, made if it is missing; log in with hf auth login
      ckpt=best                     best, last, previous, or the path of a checkpoint
      private=false                 true, the default: only you see a repository that is made

    examples:
      vae-push run=last to=me/digits-vae
"""

EXPLORE = """\
    vae-explore: a page on this machine that shows the latent space of a run: sliders, a map of codes,
    interpolations, the components of a mixture.

    usage: vae-explore run=DIR [KEY=VALUE ...] [--cfg job]

    values:
      run=DIR                       folder of the run, its name, or last, the newest single run
      ckpt=best                     best, last, previous, or the path of a checkpoint
      data=test                     the examples: train, val, test, a file or a folder of images
      n=500                         number of examples
      map=pca                       pca, or umap
      sliders=8                     latents with a slider, the most active ones
      port=5006                     of the page on 127.0.0.1; 0: any free one

    examples:
      vae-explore run=last
      vae-explore run=last map=umap n=2000 port=0
"""

REPORT = """\
    vae-report: a page and tables over a set of runs: means over seeds, plots, images.

    usage: vae-report [DIR ...] [out=DIR] [wandb=true]

    values:
      DIR                           runs, sweeps or folders above them; a run's name, or last, the
                                    newest single run; all of outputs/ by default
      out=DIR                       folder of report.html, .csv and .tex; DIR by default,
                                    outputs/report for several
      wandb=true                    log the plots to Weights & Biases, where the runs are

    examples:
      vae-report
      vae-report last                                  # the page of a run
      vae-report first wide                            # two runs by name
      vae-report outputs/multirun/2026-11-26           # sweeps by date
      vae-report outputs/train outputs/multirun out=report
"""

STATUS = """\
    vae-status: the states of runs and sweeps: waiting, running, how they ended, and why.

    usage: vae-status [DIR ...] [--watch | --failed | --cancel | --rerun failed]

    values:
      DIR                           runs, sweeps or folders above them; a run's name, or last, the
                                    newest run; all of outputs/ by default
      --watch                       look again every five seconds, until none waits or runs; Ctrl-C
                                    ends the command and no run
      --failed                      the reason and the log of each run that has not ended well
      --cancel                      end all runs of DIR that wait or run: in SLURM, or on this machine
      --rerun failed                start what has not ended well again: the command of the sweep,
                                    or that which resumes a single run

    exit codes:
      0                             each run waits, runs or is done; of a search, a trial is
      1                             a run has not ended well
      2                             the command line is refused

    examples:
      vae-status
      vae-status last --watch
      vae-status outputs/multirun/DATE/TIME --failed
      vae-status outputs/multirun/DATE/TIME --rerun failed
"""

PLAIN = {
    "vae-sample": SAMPLE,
    "vae-encode": ENCODE,
    "vae-score": SCORE,
    "vae-reconstruct": RECONSTRUCT,
    "vae-export": EXPORT,
    "vae-push": PUSH,
    "vae-explore": EXPLORE,
    "vae-report": REPORT,
    "vae-status": STATUS,
}
"""The help of commands without groups."""
