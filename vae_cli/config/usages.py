"""The usage of each command with groups of options, which --help prints before and after these groups."""

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

GROUPED = {
    "vae-eval": ("eval", EVAL, EVAL_EXAMPLES),
    "vae-kl": ("kl", KL, KL_EXAMPLES),
    "vae-cavi": ("cavi", CAVI, CAVI_EXAMPLES),
}
"""The root configuration of a command, and its help before and after the groups."""
