"""From a staged folder to a service on Cloud Run, step by step, by gcloud. Standard library only:
it runs wherever gcloud does."""
