"""The usage of each command, which --help prints."""

VALUES = (
    ("data=FILE", "your data: a table, arrays, or a folder of images; the header says what was chosen"),
    ("seed=1", "seed of weights, order of the data, and draws"),
    ("model.latent_dim=16", "dimensions of z"),
    ("objective.beta=2", "weight of the rate, KL(q(z|x) || p(z))"),
    ("optimizer.lr=3e-4", "learning rate"),
    ("dataset.batch_size=128", "examples per batch"),
    ("trainer.max_epochs=5", "passes over the training data"),
    ("trainer.precision=bf16-mixed", "faster on hardware with bf16; densities stay float32"),
    ("evaluate.samples=5000", "k of the importance-weighted log-likelihood"),
    ("name=first", "the name of the run; its folder ends with it"),
    ("tags=[mnist,paper]", "tags of the run"),
    ("resume=DIR", "resume a run: its folder, its name, or last, the newest single run"),
    ("reproduce=DIR", "train a finished run again in a new folder, and compare the numbers"),
    ("init=DIR", "start from the weights of a run, likewise; init_parts=[posterior]: only these"),
    ("hydra.sweep.dir=DIR", "folder of a sweep; the same sweep again runs only what is not done"),
    ("hydra.run.dir=DIR", "folder of the run; VAE_OUTPUT_DIR sets the root of all (./outputs)"),
)

TRAIN = """\
    vae-train: train and evaluate a variational autoencoder.

    usage: vae-train [GROUP=OPTION ...] [KEY=VALUE ...] [-m] [--cfg job]
           vae-train GROUP=OPTION --help              the keys of an option
"""

TRAIN_EXAMPLES = """\
    examples:
      vae-train
      vae-train model=conv_vae dataset=fashion_mnist trainer.max_epochs=5
      vae-train model=vade dataset=mnist         clusters digits without labels
      vae-train -m objective.beta=0.5,1,2,4      a sweep; more keys: a grid
      vae-train sweep=lambda_alpha               a ready-made sweep
      vae-train hparams_search=optuna            a search by the validation ELBO
      vae-train hparams_search=halving           a search that stops poor trials
      vae-train experiment=linear_gaussian       a preset of all groups
      vae-train model=full_covariance --cfg job  show the configuration, run nothing
      vae-train resume=last trainer.max_epochs=40

    options:
      -m, --multirun                    sweep over comma-separated values
      --cfg job [--resolve] [-p KEY]    show the configuration, run nothing
      --config-dir DIR                  more options, as in ./vae_conf
      --version, --hydra-help
"""

EVAL = """\
    vae-eval: evaluate a checkpoint of a run; it needs the run's folder and data.

    usage: vae-eval run=DIR [KEY=VALUE ...] [--cfg job]

    values:
      run=DIR                       folder of the run, its name, or last, the newest single run
      ckpt=best                     best, last, previous, or the path of a checkpoint
      evaluate.samples=5000         k of the importance-weighted log-likelihood
      evaluate.split=val            train, val or test
      evaluate.estimator=prior      prior: z ~ p(z) (plain Monte Carlo); posterior: z ~ q(z|x)
      dataset.path=PLACE            present place of the data, if they have moved
      trainer.accelerator=cpu       auto, cpu or gpu
"""

EVAL_EXAMPLES = """\
    examples:
      vae-eval run=last evaluate=paper
      vae-eval run=first evaluate.split=val evaluate.samples=1000 ckpt=last
"""

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

KL = """\
    vae-kl: fit a Gaussian q to a density p on the line by min KL(q || p) or min KL(p || q).

    usage: vae-kl [GROUP=OPTION ...] [KEY=VALUE ...] [--cfg job]
"""

KL_EXAMPLES = """\
    values:
      starts=9                      initial means, each with a narrow and a wide scale
      target.means=[-1,1]           any key of the target
      out=DIR                       new folder for figure and minima

    examples:
      vae-kl direction=reverse target=bimodal
      vae-kl direction=forward target=bimodal
      vae-kl direction=reverse target=double_well target.tilt=0.5
      vae-kl direction=forward target=samples target.path=numbers.txt
"""

CAVI = """\
    vae-cavi: mean-field inference by coordinate ascent; prints the ELBO after each step.

    usage: vae-cavi [study=OPTION] [KEY=VALUE ...] [--cfg job]
"""

CAVI_EXAMPLES = """\
    values:
      sweeps=500                    maximum number of sweeps over all factors
      tolerance=1e-9                stop when a sweep gains less, in nats
      study.components=6            any key of the study
      out=DIR                       new folder for figure and numbers

    examples:
      vae-cavi
      vae-cavi 'study.covariance=[[1,0.99],[0.99,1]]'
      vae-cavi study=gaussian_mixture study.path=points.txt study.components=10
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
