"""The Kaggle submission: built, checked, rehearsed and pushed. `python -m submission --help`.

`server` and `contest` run in the notebook; `gateway` stands in for Kaggle's side of the wire; `bundle`, `wheels` and
`check` make and judge what is uploaded; `rehearse` runs it as Kaggle would, offline.
"""
