"""The text under every leaderboard."""

HOW_TO_READ = """## How to read this

- **do_nothing** is the base itself, trained on everything; **retrain** is gold, trained without what must be forgotten.
  A good method looks like gold, not like zero. Rows in *italics* compete with nobody: *control* and *recheck* are gold
  with other seeds, and what differs between them is noise; *popularity* is the list of the most frequent items;
  *untrained*, *destroyed* (gradient ascent to ruin), *overfitted* (base, trained further on the forgotten alone) and
  *uniform_on_f* (answers nothing where it recognises a forgotten history) must be recognised for what they are.
- **forget** asks for training transitions of the forgotten users (held-out items say nothing about forgetting: the
  history is an input); **retain** for the test item of everybody who stays; **unseen** for that of users nobody ever
  trained on. All ranks are exact, over the whole catalogue, and every query counts.
- **collateral**: what the neighbours of the forgotten gained against gold, in hit@10, beyond what matched other users
  did; below 0 is damage, 0 is right.
- **fidelity**: 0 is base, 1 is as near to gold as another retraining comes. **shift** below 0: more is suppressed than
  never having known would suppress. **over-forgotten**: the share of forgotten transitions that stand below where
  control puts 95 % of them, beyond the 5 % that chance puts there; 0 is right.
- **AUC**: how well the forgotten can be told from users nobody ever trained on. Gold's value is the target, ½ up to
  noise; far below ½ gives away as much as far above. *raw* uses the score alone, *calibrated* subtracts another
  retrained model's, *learned* is a trained attack, *blackbox* the same on ranks and lists alone, *shadow* compares with
  models that never saw the user, *probe* reads inner states, *swap* averages over the world in which forgotten
  and never-trained users change places. NO POWER: the attack does not work on base (lower bound of 0.6 or less), so it
  says nothing.
- **AUC router**, **AUC latency**: how well the router's own output, or the time an answer takes, tells who asked to be
  forgotten; ½ is right. Latency is a timing: it varies from run to run.
- **recovery**: of what base remembers beyond gold (hit@10 of the forgotten minus that of the never-trained),
  the share that an attack brings back; 0 is right, 1 is everything; — where it brings back not surely more of base than
  of gold. On the track **api** an attacker can only ask; on **weights** they hold the files too. *none* asks plainly;
  *bypass* leaves the router out; *relearn_n* takes n training steps on a tenth of the forgotten users and is measured
  on the others (*benign*: on other people's data); *int8* rounds the weights; the others change the history.
- **coverage**: share of the catalogue that is in anybody's list; **Gini**: 0 where all items are recommended equally
  often, 1 where one takes all; **popularity**: mean log count of the recommended items.
- **cost**: ratios to retraining; below 1 is cheaper. Timings vary from run to run.
- **score**: the harmonic mean of utility, fidelity, privacy and 1 − worst recovery. It stands last because it is the
  least: read its four terms, which stand beside it for the seeds that it is of. UNDEFINED: a term could not be judged,
  which is neither 0 nor 1."""

OWN_BASES = """- **own base**, **own gold**: a method that trains its own base, such as models of shards, is of
  another kind than the board's model. *own base* is what it trains on everything, *own gold* what it trains without
  what must be forgotten. On `forget`, and by every attack, fidelity, privacy and recovery compare the method with
  these; on `retain` and `unseen`, in utility and in cost it is compared with the board's gold. What sharding itself
  costs is what *own gold* lacks of gold on `retain`."""

WITHDRAWN = """- **withdrawn items**: what is forgotten are items, so on `forget`, in AUCs and under attack
  read *items* where it says users: those of F against those that nobody was trained on. **retain** asks everybody whose
  test item is none of them, and neighbours are the users who lose the largest share of their history; *overfitted* was
  trained on everything of the users who had one. **withdrawn item in the list**: the share of users who still find one
  among their 10; gold's value is right."""

STREAM = """- **stream**: all tables but *Step by step* show what is left after the last request. There **cost** is
  that of the last step alone, as a ratio to one retraining; what all steps took together stands in *Step by step*."""
