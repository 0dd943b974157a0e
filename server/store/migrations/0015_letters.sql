-- Where letters about invoices go, beside the mailboxes of the owners.
ALTER TABLE organizations ADD COLUMN billing_email TEXT;

-- What is still to be told of, which is asked for every few seconds.
CREATE INDEX billing_notices_unsent ON billing_notices (created_at, organization_id, position)
    WHERE sent_at IS NULL;
