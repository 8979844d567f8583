#!/usr/bin/env bash
# stack.sh deploy | destroy: the CloudFormation stack PROJECT-shadow-ENV, through the official AWS CLI.
# It shows what will happen, asks, and does exactly that. `make deploy` and `make destroy` pass the environment on:
#
#   ENV         dev, staging or prod
#   PROJECT     first part of the stack's name (nba-simulator)
#   PARAMETERS  "NAME=VALUE ..." of the template; a parameter that is not given keeps its value
#   YES         1 to go ahead without asking
#   AWS         the CLI to call, such as AWS=aws; by default uv runs the one from PyPI
set -euo pipefail
cd "$(dirname "$0")"
export AWS_PAGER="" AWS_DEFAULT_OUTPUT=text

template=shadow.yaml # sent with the call, which takes up to 51,200 bytes
project=${PROJECT:-nba-simulator}
stack=$project-shadow-${ENV:-}
token=shadow-$(date -u +%Y%m%d%H%M%S)-$$ # marks the events of this run
change_set=""

aws() { ${AWS:-../../.venv/bin/uv tool run --quiet --from awscli~=1.44 aws} "$@"; }

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Prints the stack's status, or nothing if there is no such stack; any other refusal is an error.
status() {
    local answer
    if answer=$(aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' 2>&1); then
        echo "${answer##*$'\n'}"
    elif [[ $answer != *"does not exist"* ]]; then
        die "$answer"
    fi
}

require_status() { # COMMAND STATUS
    case $1:$2 in
    *:REVIEW_IN_PROGRESS) ;;
    *_IN_PROGRESS) die "$stack is $2: wait until that is over" ;;
    destroy:* | deploy: | *:CREATE_COMPLETE | *:UPDATE_COMPLETE | *:UPDATE_ROLLBACK_COMPLETE | *:IMPORT*_COMPLETE) ;;
    *:UPDATE_ROLLBACK_FAILED)
        die "$stack is $2: fix the cause, then run aws cloudformation continue-update-rollback --stack-name $stack" ;;
    *:UPDATE_FAILED | *:IMPORT_ROLLBACK_FAILED)
        die "$stack is $2: run aws cloudformation rollback-stack --stack-name $stack" ;;
    *) die "$stack is $2 and takes no update: run make destroy ENV=$ENV, then deploy again" ;;
    esac
}

# The CLI would ignore a parameter that the template does not have.
require_parameters() { # [NAME=VALUE ...]
    local names each
    names=$(awk -F'[ :]+' '/^[A-Z]/ {section = $1} section == "Parameters" && /^  [A-Za-z]+:$/ {print $2}' $template |
        grep -vxE 'Environment|ProjectName')
    for each in "$@"; do
        if [[ $each != *=* ]] || ! grep -qxF "${each%%=*}" <<<"$names"; then
            die "PARAMETERS has '$each', must be NAME=VALUE with NAME one of ${names//$'\n'/, }"
        fi
    done
}

confirm() { # QUESTION
    local answer=""
    [[ ${YES:-} != 1 ]] || return 0
    [[ -t 0 ]] || die "nothing was done: there is no terminal to ask at; read the above, then add YES=1"
    read -rp "$1 [y/N] " answer || echo
    [[ $answer =~ ^[Yy](es)?$ ]] || die "nothing was done"
}

wait_for() { # STATE STACK
    aws cloudformation wait "$1" --stack-name "$2" && return
    aws cloudformation describe-stack-events --stack-name "$2" --output table --query \
        "reverse(StackEvents[?ClientRequestToken=='$token' && ends_with(ResourceStatus, 'FAILED')]
        .{Resource: LogicalResourceId, Status: ResourceStatus, Reason: ResourceStatusReason})"
    die "$stack did not reach $1; what failed is listed above, the first failure first"
}

# Deletes the change set that is not executed, failed ones, and a stack that never was more than a change set.
discard() {
    local now failed id
    now=$(status)
    [[ $now ]] || return 0
    failed=$(aws cloudformation list-change-sets --stack-name "$stack" \
        --query "Summaries[?Status=='FAILED'].ChangeSetId")
    for id in $change_set $failed; do
        aws cloudformation delete-change-set --change-set-name "$id"
    done
    [[ $now != REVIEW_IN_PROGRESS ]] || aws cloudformation delete-stack --stack-name "$stack"
}

deploy() {
    local before kind=update parameters=()
    read -ra parameters <<<"${PARAMETERS:-}"
    require_parameters ${parameters[@]+"${parameters[@]}"}
    before=$(status)
    require_status deploy "$before"
    [[ $before && $before != REVIEW_IN_PROGRESS ]] || kind=create
    trap discard EXIT
    change_set=$(aws cloudformation deploy --no-execute-changeset --no-fail-on-empty-changeset \
        --stack-name "$stack" --template-file $template --capabilities CAPABILITY_IAM \
        --parameter-overrides ${parameters[@]+"${parameters[@]}"} "Environment=$ENV" "ProjectName=$project" \
        --tags "Project=$project" "Environment=$ENV" RecommendationId=ml_systems_7 | sed -n 's/.*\(arn:[^ ]*:changeSet[^ ]*\).*/\1/p')
    if [[ $change_set ]]; then
        echo "change set to $kind $stack: $change_set"
        # Removals first, then replacements, other changes and additions.
        aws cloudformation describe-change-set --change-set-name "$change_set" --output table --query \
            "reverse(sort_by(Changes[].ResourceChange, &join(' ', [Action, not_null(Replacement, '')])))[].{
            Action: Action, Replacement: Replacement, Policy: PolicyAction,
            Resource: LogicalResourceId, Type: ResourceType}"
        confirm "execute this change set?"
        aws cloudformation execute-change-set --change-set-name "$change_set" --client-request-token "$token"
        trap - EXIT
        wait_for "stack-$kind-complete" "$stack"
    else
        echo "$stack: nothing to change"
    fi
    if [[ $ENV == prod ]]; then
        echo "protecting against deletion: $(aws cloudformation update-termination-protection \
            --enable-termination-protection --stack-name "$stack")"
    fi
    aws cloudformation describe-stacks --stack-name "$stack" --output table \
        --query "sort_by(Stacks[0].Outputs || \`[]\`, &OutputKey)[].{Name: OutputKey, Value: OutputValue}"
}

# Half of the stack would be gone before AWS refuses to delete the rest.
require_unprotected() { # STACK
    local found id
    found=$(aws cloudformation describe-stacks --stack-name "$1" --query 'Stacks[0].EnableTerminationProtection')
    [[ $found != True ]] || die "$stack is protected against deletion; to delete it all the same, first run" \
        "aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name $stack"
    for id in $(aws cloudformation list-stack-resources --stack-name "$1" --query \
        "StackResourceSummaries[?ResourceType=='AWS::RDS::DBInstance' && PhysicalResourceId].PhysicalResourceId"); do
        found=$(aws rds describe-db-instances --query \
            "DBInstances[?DBInstanceIdentifier=='$id' && DeletionProtection].DBInstanceIdentifier")
        [[ -z $found ]] || die "database $id is protected against deletion; to delete it all the same, first run" \
            "aws rds modify-db-instance --no-deletion-protection --apply-immediately --db-instance-identifier $id"
    done
}

# Prints what becomes of each resource, by the template that the stack was deployed with.
fates() { # STACK
    local policies name type id fate
    policies=$(aws cloudformation get-template --stack-name "$1" --query TemplateBody |
        awk -F'[ :]+' '/^  [A-Za-z]+:$/ {name = $2} /^    DeletionPolicy:/ {printf " %s=%s ", name, $3}')
    aws cloudformation list-stack-resources --stack-name "$1" --query "StackResourceSummaries[?PhysicalResourceId &&
        ResourceStatus!='DELETE_COMPLETE'].[LogicalResourceId, ResourceType, PhysicalResourceId]" |
        while IFS=$'\t' read -r name type id; do
            case $policies in
            *" $name=Retain "*) fate=kept ;;
            *" $name=Snapshot "*) fate=snapshot ;;
            *) fate=DELETED ;;
            esac
            printf '  %-8s  %-22s  %-26s  %s\n' "$fate" "$name" "$type" "$id"
            case $type in
            AWS::RDS::DBInstance) echo "  kept      log groups /aws/rds/instance/$id/*, made by RDS" ;;
            AWS::MWAA::Environment) echo "  kept      log groups airflow-$id-*, made by MWAA" ;;
            esac
        done | LC_ALL=C sort
}

destroy() {
    local before id listed
    before=$(status)
    [[ $before ]] || { echo "$stack does not exist: nothing to destroy"; return; }
    require_status destroy "$before"
    id=$(aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackId')
    require_unprotected "$id"
    listed=$(fates "$id")
    printf '%s\n' "delete $id:" "$listed"
    confirm "delete $stack?"
    aws cloudformation delete-stack --stack-name "$id" --client-request-token "$token"
    wait_for stack-delete-complete "$id"
    echo "$stack is deleted. What was kept costs until you delete it:"
    grep -v '^  DELETED' <<<"$listed" || true
}

case ${ENV:-} in
dev | staging | prod) ;;
*) die "ENV == '${ENV:-}', must be one of dev, staging, prod: make ${1:-deploy} ENV=dev" ;;
esac
case ${1:-} in
deploy | destroy) "$1" ;;
*) die "command == '${1:-}', must be one of deploy, destroy" ;;
esac
