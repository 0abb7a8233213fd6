"""The way from three BERT-base models to the shipped one, stage by stage, measured in one run."""
