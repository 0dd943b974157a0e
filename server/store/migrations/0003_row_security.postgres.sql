-- A second wall between tenants: whatever a statement says, it sees and writes the rows of the
-- tenant that its transaction was begun for. Only housekeeping is begun for every tenant.
-- FORCE, since these tables belong to the role that the server connects as.
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON tenants USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE responses ENABLE ROW LEVEL SECURITY;
ALTER TABLE responses FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON responses USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE response_outputs ENABLE ROW LEVEL SECURITY;
ALTER TABLE response_outputs FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON response_outputs USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON conversations USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE conversation_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_items FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON conversation_items USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE completions ENABLE ROW LEVEL SECURITY;
ALTER TABLE completions FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON completions USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE completion_metadata ENABLE ROW LEVEL SECURITY;
ALTER TABLE completion_metadata FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON completion_metadata USING (
    tenant = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
